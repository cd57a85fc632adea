"""A run's records as a page for people: report.html and report.md, written by `report.write.write_report`."""
