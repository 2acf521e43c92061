"""The server of one node: it sees what programs and the kernel tell, asks the rules, and answers. The bytes never pass through it."""
