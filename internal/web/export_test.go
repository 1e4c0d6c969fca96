package web

import (
	"net/http"
	"time"
)

// AnswerSize is about how many bytes of rows an answer has at most.
const AnswerSize = answerSize

// SetSlow sets how long a handler's client may take nothing of an answer.
func SetSlow(h http.Handler, slow time.Duration) { h.(*handler).slow = slow }
