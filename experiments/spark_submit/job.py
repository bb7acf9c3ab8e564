"""The command line of ces-ml as `spark-submit` starts it: its arguments are those of ``ces-ml``."""

from ces_ml.cli.main import main

if __name__ == "__main__":
    main()
