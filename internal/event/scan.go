package event

// scanner goes over JSON once and builds nothing. It takes exactly what
// encoding/json takes (a fuzz target compares them), so that whoever decodes a
// part of it afterwards meets no surprise.
type scanner struct {
	b     []byte
	i     int
	found func(rec []byte, g glance)
	each  func(name, value []byte) // inEach: called for every field
}

// maxNesting is how deep encoding/json lets values nest.
const maxNesting = 10_000

// at reports whether the next byte is c.
func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

// take goes past the byte c, if it is the next.
func (s *scanner) take(c byte) bool {
	if !s.at(c) {
		return false
	}
	s.i++
	return true
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// value scans the value that begins here.
func (s *scanner) value(depth int) bool {
	if s.i == len(s.b) {
		return false
	}
	switch c := s.b[s.i]; {
	case c == '"':
		_, ok := s.text()
		return ok
	case c == '{':
		return s.object(inside, depth, nil)
	case c == '[':
		return s.list(depth, (*scanner).spacedValue)
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return false
}

func (s *scanner) spacedValue(depth int) bool {
	s.space()
	return s.value(depth)
}

// object scans an object, at whose brace it stands; depth is that of what stands
// around it.
func (s *scanner) object(l level, depth int, g *glance) bool {
	s.i++
	s.space()
	if s.take('}') {
		return depth < maxNesting
	}
	for depth < maxNesting {
		s.space()
		name, ok := s.text()
		if !ok {
			return false
		}
		s.space()
		if !s.take(':') {
			return false
		}
		s.space()
		if !s.field(l, name, depth+1, g) {
			return false
		}
		s.space()
		if !s.take(',') {
			return s.take('}')
		}
	}
	return false
}

// list scans an array, at whose bracket it stands, by element.
func (s *scanner) list(depth int, element func(s *scanner, depth int) bool) bool {
	s.i++
	s.space()
	if s.take(']') {
		return depth < maxNesting
	}
	for depth < maxNesting {
		if !element(s, depth+1) {
			return false
		}
		s.space()
		if !s.take(',') {
			return s.take(']')
		}
	}
	return false
}

// text scans a string and returns what stands between its quotes, as it stands.
func (s *scanner) text() (inner []byte, ok bool) {
	if !s.take('"') {
		return nil, false
	}
	b, start := s.b, s.i
	for i := start; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return b[start:i], true
		case c == '\\':
			n := escape(b[i:])
			if n == 0 {
				return nil, false
			}
			i += n - 1
		case c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// escape returns the length of the escape that b begins with; 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

// number scans -1.5e+3 and its like; a leading zero stands alone.
func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}
