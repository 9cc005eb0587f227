import CProtobufC
import CRhythmProto
import RhythmCore

extension DiagnoseReply: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__DiagnoseReply>) throws(FieldError) {
        self.init(findings: try list(c.pointee.n_findings, c.pointee.findings, "findings"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__DiagnoseReply> {
        let c = arena.make(rhythm__diagnose_reply__init)
        (c.pointee.n_findings, c.pointee.findings) = arena.list(findings)
        return c
    }
}

extension Finding: WireCoded {
    init(from c: UnsafeMutablePointer<Rhythm__Finding>) throws(FieldError) {
        self.init(
            try Severity(wire: c.pointee.severity, "severity"), try text(c.pointee.code, "code"),
            try text(c.pointee.subject, "subject"), try text(c.pointee.seen, "seen"),
            consequence: try text(c.pointee.consequence, "consequence"),
            remedy: try text(c.pointee.remedy, "remedy"))
    }

    func write(in arena: Arena) -> UnsafeMutablePointer<Rhythm__Finding> {
        let c = arena.make(rhythm__finding__init)
        c.pointee.severity = severity.wire
        c.pointee.code = arena.text(code)
        c.pointee.subject = arena.text(subject)
        c.pointee.seen = arena.text(seen)
        c.pointee.consequence = arena.text(consequence)
        c.pointee.remedy = arena.text(remedy)
        return c
    }
}

extension Finding.Severity: WireNumbered {
    var wire: Rhythm__Finding__Severity {
        switch self {
        case .ok: RHYTHM__FINDING__SEVERITY__SEVERITY_OK
        case .notice: RHYTHM__FINDING__SEVERITY__SEVERITY_NOTICE
        case .warning: RHYTHM__FINDING__SEVERITY__SEVERITY_WARNING
        case .error: RHYTHM__FINDING__SEVERITY__SEVERITY_ERROR
        }
    }
}
