//! What a user and a credential are: `decide` makes an event of a command, `evolve` makes a state of an event. Pure: no I/O, no clock.
