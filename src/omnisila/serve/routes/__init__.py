"""What the server answers: one router a file, each given the ``services.Services`` of its application."""
