import Testing

/// `#expect(a == b)` for expressions that change a value, which the macro does not take.
func same<Value: Equatable>(
    _ found: Value, _ wanted: Value, _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found == wanted, "\(comment)", sourceLocation: sourceLocation)
}
