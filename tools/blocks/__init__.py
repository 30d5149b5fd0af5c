"""Parts of the documentation, each made from the code that it describes."""
