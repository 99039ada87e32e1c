package withdrawals

import "context"

// Board is where the instances that share state tell each other of
// withdrawals; safe for concurrent use.
type Board interface {
	// Post puts withdrawals up, all or none; one that is there already stays as it
	// is. The board may forget one once its Until has passed.
	Post(ctx context.Context, list []Withdrawal) error
	// Read returns what was posted since mark, oldest first and not more at once
	// than a few thousand, and the mark to go on from. The first mark is "". Where
	// the board no longer knows the mark, because it came back empty or older than
	// it was, lost is true and it begins with the oldest again: whoever knows more
	// posts it again.
	Read(ctx context.Context, since Mark) (posted []Withdrawal, next Mark, lost bool, err error)
}

// Mark is a place on a Board, in the board's own terms.
type Mark string
