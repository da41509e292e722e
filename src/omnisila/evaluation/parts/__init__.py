"""What examples ask for, one file a task: each brings answers to truth and says what can be measured of them.

A part holds columns, so that a bootstrap is an index. A task is one file with ``parts(answers, labels)``.
"""
