"""`bin/demo`: the whole product on messy data, from nothing to a running site, on one screen."""
