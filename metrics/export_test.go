package metrics

// UnderRace is for the tests that use the package from outside.
const UnderRace = underRace
