extension WorkflowSpec {
    /// Limits on what one workflow may hold. They keep any stored record far below a megabyte of names and labels, and
    /// the default frame limit large enough for all of it.
    public enum Limits {
        /// Steps of one workflow.
        public static let steps = 1000
        /// Bytes of a name, a task, a queue, an app_id or an id.
        public static let nameBytes = 255
        /// Bytes of a description.
        public static let descriptionBytes = 4096
        /// Labels of one workflow.
        public static let labels = 64
        /// Bytes of JSON in one args or kwargs.
        public static let jsonBytes = 1 << 19
        /// Attempts a retry policy may ask for.
        public static let attempts = 1000
        /// How often a lost attempt may be sent again.
        public static let lost = 1000
        /// The longest timeout or backoff.
        public static let duration = Duration.seconds(366 * 86_400)
    }

    /// Checks everything that can be checked without a server, before anything is stored.
    ///
    /// Server, client library and CLI call this same function.
    /// - Throws: INVALID_ARGUMENT with the path of the first field at fault, its value and what would be right.
    public func validate() throws(RhythmError) {
        if let id {
            try Self.check(name: id.rawValue, field: "id")
            guard id.rawValue.utf8.allSatisfy(Self.isIDByte) else {
                throw Self.invalid(
                    "id", "BAD_ID", "'\(id)' may hold only letters, digits and . _ : - ; leave it out to get a UUID")
            }
        }
        try Self.check(name: name, field: "name")
        try Self.check(name: appID, field: "app_id")
        guard description.utf8.count <= Limits.descriptionBytes else {
            throw Self.invalid(
                "description", "TOO_LONG",
                "\(description.utf8.count) bytes; at most \(Limits.descriptionBytes) are allowed")
        }
        try Self.check(text: description, field: "description")
        guard labels.count <= Limits.labels else {
            throw Self.invalid("labels", "TOO_MANY", "\(labels.count) labels; at most \(Limits.labels) are allowed")
        }
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
            try Self.check(name: key, field: "labels")
            try Self.check(text: value, field: "labels.\(key)")
            guard value.utf8.count <= Limits.nameBytes else {
                throw Self.invalid("labels.\(key)", "TOO_LONG", "at most \(Limits.nameBytes) bytes are allowed")
            }
        }
        try Self.check(args: args, field: "args")
        try Self.check(kwargs: kwargs, field: "kwargs")
        guard !steps.isEmpty else { throw Self.invalid("steps", "EMPTY", "a workflow needs at least one step") }
        guard steps.count <= Limits.steps else {
            throw Self.invalid("steps", "TOO_MANY", "\(steps.count) steps; at most \(Limits.steps) are allowed")
        }
        var seen: [String: Int] = [:]
        // The call's are for the first step only.
        try Self.check(injected: steps[0].inject, in: kwargs, field: "kwargs", of: steps[0])
        for (index, step) in steps.enumerated() {
            try step.validate(field: "steps[\(index)]")
            if let first = seen.updateValue(index, forKey: step.name) {
                throw Self.invalid(
                    "steps[\(index)].name", "DUPLICATE",
                    "'\(step.name)' is also the name of steps[\(first)]; step names must be unique")
            }
        }
    }

    /// Checks arguments given to a start or a resume.
    public static func check(args: JSON, field: String) throws(RhythmError) {
        guard args.isArray else {
            throw invalid(field, "NOT_AN_ARRAY", "\(args.excerpt) is not a JSON array; write [\"x\"] for one argument")
        }
        try check(size: args, field: field)
    }

    static func check(kwargs: JSON, field: String) throws(RhythmError) {
        guard kwargs.isObject else {
            throw invalid(field, "NOT_AN_OBJECT", "\(kwargs.excerpt) is not a JSON object such as {\"key\": 1}")
        }
        try check(size: kwargs, field: field)
    }

    /// Refuses keyword arguments that would be replaced without a word.
    static func check(
        injected: Injection, in kwargs: JSON, field: String, of step: StepSpec
    ) throws(RhythmError) {
        // Most are empty.
        guard !injected.isEmpty, kwargs.text != "{}", case .object(let members) = kwargs.value else { return }
        let names = injected.names
        guard let member = members.first(where: { names.contains($0.name) }) else { return }
        let left = names.filter { $0 != member.name }
        throw invalid(
            "\(field).\(member.name)", "RESERVED",
            "'\(member.name)' is set for each task by the server, so this value would be lost; leave it out, or write"
                + " 'inject: [\(left.joined(separator: ", "))]' in step '\(step.name)' if its task wants another"
                + " '\(member.name)'")
    }

    static func check(name: String, field: String) throws(RhythmError) {
        guard !name.isEmpty else { throw invalid(field, "EMPTY", "must not be empty") }
        guard name.utf8.count <= Limits.nameBytes else {
            throw invalid(
                field, "TOO_LONG", "'\(name.prefix(40))...' has \(name.utf8.count) bytes; at most \(Limits.nameBytes)")
        }
        guard !name.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            throw invalid(field, "CONTROL_CHARACTER", "holds a control character; use printable text")
        }
    }

    static func invalid(_ field: String, _ reason: String, _ message: String) -> RhythmError {
        RhythmError(.invalidArgument, reason: reason, message, field: field)
    }

    private static func check(text: String, field: String) throws(RhythmError) {
        guard !text.unicodeScalars.contains("\u{0}") else {
            throw invalid(field, "CONTROL_CHARACTER", "holds a NUL character; use printable text")
        }
    }

    private static func check(size json: JSON, field: String) throws(RhythmError) {
        guard json.text.utf8.count <= Limits.jsonBytes else {
            throw invalid(
                field, "TOO_LONG", "\(json.text.utf8.count) bytes of JSON; at most \(Limits.jsonBytes) are allowed")
        }
    }

    private static func isIDByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: ":"):
            true
        default: false
        }
    }
}

extension StepSpec {
    func validate(field: String) throws(RhythmError) {
        try WorkflowSpec.check(name: name, field: "\(field).name")
        try WorkflowSpec.check(name: task, field: "\(field).task")
        if let queue { try WorkflowSpec.check(name: queue, field: "\(field).queue") }
        if let priority, !(0...9).contains(priority) {
            throw WorkflowSpec.invalid(
                "\(field).priority", "OUT_OF_RANGE", "\(priority) is not between 0 (last) and 9 (first)")
        }
        try WorkflowSpec.check(kwargs: kwargs, field: "\(field).kwargs")
        try WorkflowSpec.check(injected: inject, in: kwargs, field: "\(field).kwargs", of: self)
        guard (0...WorkflowSpec.Limits.lost).contains(maxLost) else {
            throw WorkflowSpec.invalid(
                "\(field).max_lost", "OUT_OF_RANGE",
                "\(maxLost) is not between 0 (never sent again) and \(WorkflowSpec.Limits.lost)")
        }
        if let timeout {
            try check(timeout, isOver: .zero, field: "\(field).timeout")
        }
        if let startTimeout {
            try check(startTimeout, isOver: .zero, field: "\(field).start_timeout")
        }
        guard let retry else { return }
        guard (1...WorkflowSpec.Limits.attempts).contains(retry.maxAttempts) else {
            throw WorkflowSpec.invalid(
                "\(field).retry.max_attempts", "OUT_OF_RANGE",
                "\(retry.maxAttempts) is not between 1 and \(WorkflowSpec.Limits.attempts)")
        }
        try check(retry.backoff, isOver: .microseconds(-1), field: "\(field).retry.backoff")
        try check(retry.maxBackoff, isOver: .microseconds(-1), field: "\(field).retry.max_backoff")
        guard retry.factor.isFinite, (1...100).contains(retry.factor) else {
            throw WorkflowSpec.invalid(
                "\(field).retry.factor", "OUT_OF_RANGE", "\(retry.factor) is not between 1 and 100")
        }
    }

    private func check(_ duration: Duration, isOver least: Duration, field: String) throws(RhythmError) {
        guard duration > least, duration <= WorkflowSpec.Limits.duration else {
            throw WorkflowSpec.invalid(
                field, "OUT_OF_RANGE",
                "\(duration) is out of range; give seconds, more than nothing and at most 366 days")
        }
    }
}

extension JSON {
    /// The beginning of the text, for error messages.
    public var excerpt: String { text.utf8.count <= 80 ? text : text.prefix(77) + "..." }
}
