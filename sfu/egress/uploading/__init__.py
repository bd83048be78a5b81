"""Files of archives on their way to a bucket, in processes of their own."""
