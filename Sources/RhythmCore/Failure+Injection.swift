extension Failure {
    /// The keyword argument that the attempt's task was given by the server and does not take; nil if it did not fail of
    /// that. Python says `f() got an unexpected keyword argument 'step'`, or `got multiple values for argument 'step'` where
    /// it is a positional one too.
    public var refusedInjection: String? {
        guard type == "TypeError" else { return nil }
        return Injection.allNames.first { name in
            message.contains("unexpected keyword argument '\(name)'")
                || message.contains("multiple values for argument '\(name)'")
        }
    }
}
