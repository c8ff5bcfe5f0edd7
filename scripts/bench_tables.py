"""How scripts/bench shows what it measured: tables for a terminal, and a short one in Markdown."""

COLUMNS = "%-9s %-13s %8s %15s %9s %7s %14s %10s %9s %8s %8s"


def machine_line(report):
    about = report["machine"]
    return "%s, %d CPUs, %s, %s" % (about["cpu"], about["cores"], about["kernel"],
                                    about["virtualisation"] or "virtualisation unknown")


def number(value, form):
    return "-" if value is None else form % value


def against(row):
    ratio = row["strace_ratio"]
    if ratio is None or row["mode"].startswith("strace") and row["mode"] == row["strace_mode"]:
        return "-"
    if ratio >= 1:
        return "%.1fx faster" % ratio
    return "%.1fx slower" % (1 / ratio) if ratio < 0.95 else "1.0x"


def per_stop(row):
    cost = row["us_per_stop"]
    return "< 0" if cost is not None and cost < 0 else number(cost, "%.2f")


def spread(row):
    if not row["seconds"]:
        return "-"
    return "%.3f..%.3f" % (min(row["seconds"]), max(row["seconds"]))


def print_table(results):
    print(COLUMNS % ("workload", "mode", "median s", "min..max s", "x native", "x bare",
                     "against strace", "stops", "stops/s", "us/stop", "peak MiB"))
    for result in results:
        print("-" * 120)
        for position, row in enumerate(result["modes"]):
            mark = "~" if row["stops_estimated"] else ""
            print(COLUMNS % (
                result["name"] if position == 0 else "", row["mode"],
                number(row["median"], "%.3f"), spread(row), number(row["native_ratio"], "%.2f"),
                number(row["bare_ratio"], "%.2f"), against(row), mark + number(row["stops"], "%d"),
                number(row["stops_per_second"], "%.0f"), per_stop(row),
                number(row["peak_kib"] and row["peak_kib"] / 1024, "%.1f")))
            if row["failures"]:
                print("  %d FAILED: %s" % (len(row["failures"]), row["failures"][0][:100]))


def print_targets(judged):
    words = {"strace": "times faster than strace", "native": "times native",
             "bare": "times a bare loop", "peak": "MiB"}
    if judged:
        print("\ntargets")
    for target in judged:
        print("  %-6s %-9s %-10s %8.2f %s %g %s"
              % ("met" if target["met"] else "MISSED", target["workload"], target["mode"],
                 target["value"], target["relation"], target["limit"], words[target["kind"]]))


def markdown(report):
    """One line a workload: what it takes, and how much longer with somebody looking."""
    lines = ["Medians of %d runs on %s (`scripts/bench`)." % (report["settings"]["runs"],
                                                             machine_line(report)), "",
             "| workload | alone | `strace -f -o` | a bare loop | `run` | `run -e trace=all -o` | "
             "against strace | against the loop |",
             "|---|---|---|---|---|---|---|---|"]

    def times(row):
        ratio = row.get("native_ratio")
        return number(ratio, "%.2f×" if (ratio or 0) < 2 else "%.1f×")
    for result in report["workloads"]:
        rows = {row["mode"]: row for row in result["modes"]}
        native, strace, bare, default, every = (
            rows.get(name, {}) for name in ("native", "strace", "bare", "default", "all"))
        median = native.get("median")
        lines.append("| %s | %s | %s | %s | %s | %s | %s | %s |" % (
            result["what"].replace("|", "\\|"), number(median and median * 1e3, "%.0f ms"),
            times(strace), times(bare), times(default), times(every),
            against(every) if every.get("strace_ratio") else "-",
            number(every.get("bare_ratio"), "%.1f×")))
    if report.get("figures"):
        lines += ["", "| of its own | measured | wanted at most |", "|---|---|---|"]
    for figure in report.get("figures", []):
        lines.append("| %s | %s %s | %g |" % (figure["what"], number(figure["median"], "%.2g" if (
            figure["median"] or 0) < 10 else "%.0f"), figure["unit"], figure["most"]))
    return "\n".join(lines) + "\n"
