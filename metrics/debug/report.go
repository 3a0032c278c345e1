package debug

// A report is the content of the page, in whatever form it is sent. Its strings
// are as they came: each form makes them harmless in its own way.
type report struct {
	title string
	facts []fact // what is known of the program and the machine
	links []linkGroup
	parts []section
}

// A fact is a value with its name. Help says what it is.
type fact struct{ name, value, help string }

// A linkGroup is a choice between views.
type linkGroup struct {
	label string
	links []link
}

type link struct {
	text, href string
	current    bool
}

// A section is one question with its answer.
type section struct {
	id, title string
	about     string // what this is, and what to do about it
	words     []term // that are in it, beside those that its blocks explain
	blocks    []block
	wide      bool // it needs all of a wide screen
}

// A block is a piece of a section that knows how to show itself.
type block interface {
	html(*htmlWriter)
	text(*textWriter)
}

// A note is a paragraph. It also says why there is nothing to see.
type note string

// A tone says whether something is to be acted on. Only what is has a colour,
// and never by the colour alone.
type tone uint8

const (
	calm   tone = iota
	good        // it has been checked, and is well
	notice      // to be looked at
	urgent      // to be acted on now
)

var (
	toneClass = [...]string{calm: "", good: "good", notice: "notice", urgent: "urgent"}
	toneMark  = [...]string{calm: "", good: "✔", notice: "▲", urgent: "✖"}
	toneWord  = [...]string{calm: "", good: "well", notice: "notice", urgent: "urgent"}
)

// A finding is one thing to act on.
type finding struct {
	tone   tone
	matter string
	do     []string // the most useful first
	where  string   // the section that shows it, or ""
}

type findings []finding

// A verdict is one line that says how something stands.
type verdict struct {
	tone tone
	line string
}

// A tile is one number that is to be seen from afar.
type tile struct {
	name, value, detail string
	help                string
	tone                tone
	share               float64 // of a limit, 0 to 1; negative: there is none
}

type tiles []tile

// A term is a name that the section uses, with what it means.
type term struct{ name, means string }

// A table has a heading for each column, and in each row a cell for each.
type table struct {
	caption string
	titled  bool // the caption is shown; else it is for those who cannot see where the table stands
	class   string
	columns []column
	rows    []row
	more    string // what was left out, and where it is
	empty   string // what it means that there are no rows
}

type column struct {
	name, help string
	number     bool
}

type row struct {
	cells []cell
	tone  tone
}

// A cell has lines, and in place of them or above them a bar.
type cell struct {
	lines []string
	bar   *bar
	lane  *lane
	link  string
}

// A bar shows a share of a limit.
type bar struct {
	share float64
	tone  tone
}

func cellOf(lines ...string) cell { return cell{lines: lines} }

// A fold is a block that is shown when asked for.
type fold struct {
	summary string
	blocks  []block
}
