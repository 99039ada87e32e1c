package portal

// ReadFields is for the fuzz target.
var ReadFields = readFields
