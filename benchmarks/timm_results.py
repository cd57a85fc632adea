"""Makes `models/sources/timm_results.csv` of timm's published results.

    git -C CHECKOUT show COMMIT:results/results-imagenet.csv | python benchmarks/timm_results.py > timm_results.csv

timm's wheel carries no results. Accuracies are shares, parameters are millions; the commit stands in `sources/timm.py`.
"""

import csv
import sys


def main() -> int:
    """Write the table of what stands on standard input."""
    rows = sorted(csv.DictReader(sys.stdin), key=lambda row: (row["model"], int(row["img_size"])))
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["tag", "size", "top1", "top5", "parameters"])
    for row in rows:
        shares = [f"{float(row[key]) / 100:.5f}" for key in ("top1", "top5")]
        out.writerow([row["model"], row["img_size"], *shares, row["param_count"].replace(",", "")])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
