"""`prepare init`: a manifest for a folder of files, from what is in them."""
