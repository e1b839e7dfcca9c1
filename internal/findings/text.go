package findings

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"cmkguard/internal/risk"
)

// table shows what is not ok, the worst first, and what became of the rest.
func table(w io.Writer, r Report) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if r.Totals.Broken+r.Totals.Unknown > 0 {
		fmt.Fprintln(tw, "SEVERITY\tCHECK\tCLUSTER\tOWNER\tSUBJECT\tWHAT")
	}
	for _, f := range r.Findings {
		if f.Answer == risk.OK {
			continue
		}
		head := string(f.Severity)
		if f.Answer == risk.Unknown {
			head = "unknown"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", head, f.Check, Plain(f.Name), Plain(f.Owner), Plain(f.subject()), Plain(f.Why))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.summary())
	return err
}

// Plain keeps what came from outside on its line and out of the terminal's
// control sequences.
func Plain(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0x2028 || c == 0x2029 {
			return ' '
		}
		return c
	}, s)
}

func oneJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func lines(w io.Writer, r Report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, f := range r.Findings {
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

func header(cw *csv.Writer) error {
	return cw.Write([]string{"answer", "severity", "check", "title", "cluster", "owner", "subject", "why", "breaks", "by", "remedy", "guidance"})
}

func spread(cw *csv.Writer, r Report) error {
	for _, f := range r.Findings {
		by := ""
		if f.By != nil {
			by = f.By.UTC().Format(time.RFC3339)
		}
		row := []string{string(f.Answer), string(f.Severity), f.Check, f.Title, f.Cluster, f.Owner, f.Subject.String(), f.Why, f.Breaks, by, f.Remedy, f.Guidance}
		for i := range row {
			row[i] = noFormula(row[i])
		}
		if err := cw.Write(row); err != nil {
			return err
		}
	}
	cw.Flush()
	return cw.Error()
}

// noFormula keeps a spreadsheet from running what a tag or a name says.
func noFormula(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func markdown(w io.Writer, r Report) error {
	var b strings.Builder
	b.WriteString("| severity | check | cluster | owner | what | what to do |\n|---|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "`", "'", "[", `\[`, "]", `\]`)
	for _, f := range r.Findings {
		if f.Answer == risk.OK {
			continue
		}
		head := string(f.Severity)
		if f.Answer == risk.Unknown {
			head = "unknown"
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s | %s | %s |\n", head, f.Check, f.Title,
			cell.Replace(Plain(f.Name)), cell.Replace(Plain(f.Owner)), cell.Replace(Plain(f.Why)), cell.Replace(Plain(f.Guidance)))
	}
	b.WriteString("\n" + cell.Replace(Plain(r.summary())) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}
