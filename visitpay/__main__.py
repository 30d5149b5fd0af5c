"""`python -m visitpay` is the `visitpay` command."""

from visitpay.cli import main

if __name__ == "__main__":
    main()
