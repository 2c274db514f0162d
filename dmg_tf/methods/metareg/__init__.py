"""MetaReg: a regulariser of the task network that is learned from domains."""
