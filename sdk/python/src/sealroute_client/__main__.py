"""`python -m sealroute_client`."""

import sys

from sealroute_client.cli import main

sys.exit(main())
