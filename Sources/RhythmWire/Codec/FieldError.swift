/// What is wrong with one field of a message that protobuf itself accepted. Becomes a ``FrameError`` once the frame's
/// call is known.
struct FieldError: Error {
    enum Problem {
        case text
        case json(expected: String)
        case value(expected: String)
    }

    var problem: Problem
    /// From the innermost message outwards, such as `steps[2].name`.
    var path: String

    init(_ problem: Problem, _ path: String) {
        self.problem = problem
        self.path = path
    }

    static func value(_ field: String, _ expected: String) -> FieldError {
        FieldError(.value(expected: expected), field)
    }

    /// The same error as the message around sees it.
    func inside(_ field: String) -> FieldError {
        FieldError(problem, field.isEmpty ? path : "\(field).\(path)")
    }

    var kind: FrameError.Kind {
        switch problem {
        case .text: .badText(field: path)
        case .json(let expected): .badJSON(field: path, expected: expected)
        case .value(let expected): .badValue(field: path, expected: expected)
        }
    }
}
