package funchost

// Open reads an invocation's body that was kept or captured, so that a Handler can
// be run over it without a host. What is not as the host writes it is an ErrShape.
func Open(function string, body []byte) (*Invocation, error) {
	data, err := decode(body)
	if err != nil {
		return nil, err
	}
	return &Invocation{Function: function, ID: "replay", Data: data}, nil
}
