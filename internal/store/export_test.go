package store

var (
	Classify     = classify
	WholeRecords = wholeRecords
)
