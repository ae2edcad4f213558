"""Tables of many networks: the zoo, and the tables of the papers with our figures beside theirs."""
