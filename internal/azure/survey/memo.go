package survey

import "sync"

// memo remembers what was read, by a key; whoever asks while it is being read
// waits for that one reading. Its zero value is ready for use.
type memo[V any] struct {
	mu sync.Mutex
	of map[string]*slot[V]
}

type slot[V any] struct {
	once  sync.Once
	value V
}

func (m *memo[V]) once(key string, read func() V) V {
	m.mu.Lock()
	s, ok := m.of[key]
	if !ok {
		if m.of == nil {
			m.of = map[string]*slot[V]{}
		}
		s = &slot[V]{}
		m.of[key] = s
	}
	m.mu.Unlock()
	s.once.Do(func() { s.value = read() })
	return s.value
}

// forget lets go of what is about one thing and will not be asked again.
func (m *memo[V]) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, key)
}
