"""`report.html`: a finished output as one page that opens from disk, a file for each section."""
