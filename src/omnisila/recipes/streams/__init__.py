"""From a reaction data set's videos to the tables of streams that its rows are trained on."""
