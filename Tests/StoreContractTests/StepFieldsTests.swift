import RhythmCore
import RhythmMongo
import Testing

@testable import RhythmStoreMongo
@testable import RhythmStoreSQLite

/// Fields of a step that came later: what was stored without them means their defaults, and what says nothing of them is
/// stored as it was before.
@Suite struct StepFieldsTests {
    static let plain = StepSpec(name: "s", task: "t", queue: "q", retry: RetryPolicy(maxAttempts: 2))
    static let special: [StepSpec] = [
        StepSpec(name: "s", task: "t", maxLost: 0, inject: []),
        StepSpec(name: "s", task: "t", maxLost: 1000, inject: [.step]),
        StepSpec(name: "s", task: "t", inject: [.workflowID, .appID]),
    ]

    @Test func sqliteReadsOldText() throws {
        let old =
            #"[{"name":"s","task":"t","kwargs":"{}","queue":"q","retry":{"max_attempts":2,"backoff":[1,0],"#
            + #""factor":2.0,"max_backoff":[300,0]}}]"#
        #expect(StepSpecsCoding.steps(try JSON(parsing: old)) == [Self.plain])
        #expect(StepSpecsCoding.text([Self.plain]) == old)
    }

    @Test func sqliteKeepsWhatIsNew() throws {
        let text = StepSpecsCoding.text(Self.special)
        #expect(StepSpecsCoding.steps(try JSON(parsing: text)) == Self.special)
        for wrong in [#""inject":["steps"]"#, #""inject":"none""#, #""inject":[1]"#, #""max_lost":"x""#] {
            let text = #"[{"name":"s","task":"t","kwargs":"{}","# + wrong + "}]"
            #expect(StepSpecsCoding.steps(try JSON(parsing: text)) == nil, "\(wrong)")
        }
    }

    @Test func mongoReadsOldDocuments() throws {
        let old = StepDocument.makeExact(Self.plain)
        #expect(old["max_lost"] == nil && old["inject"] == nil)
        #expect(try StepDocument.readExact(Fields(old, "step")) == Self.plain)
    }

    @Test func mongoKeepsWhatIsNew() throws {
        for step in Self.special {
            #expect(try StepDocument.readExact(Fields(StepDocument.makeExact(step), "step")) == step)
        }
        let wrong: [BSONDocument] = [["inject": ["steps"]], ["inject": "none"], ["max_lost": "x"]]
        for fields in wrong {
            var document = StepDocument.makeExact(StepSpec(name: "s", task: "t"))
            for element in fields.elements { document.append(element.key, element.value) }
            #expect(throws: (any Error).self) { try StepDocument.readExact(Fields(document, "step")) }
        }
    }
}
