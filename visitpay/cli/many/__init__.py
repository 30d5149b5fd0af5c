"""Commands with --all: the ordinary command for each hospital of a file, by several processes."""
