package import RhythmCore
import RhythmEngine
import RhythmMongo

extension MongoReader: ExaminableReader {
    /// How many settled workflows are compared with what the Python library's readers see of them.
    static let examined = 5_000

    package func examine(within scope: AppScope) -> [Finding] {
        guard afterwork.projects else { return [] }
        let isCompared: Bool
        do throws(StoreError) {
            isCompared = try afterwork.examine(limit: Self.examined)
        } catch {
            return [
                Finding(
                    .warning, "projection_unknown", "store",
                    "what \(collections.library) says could not be compared with the records: \(error.message)")
            ]
        }
        let written = afterwork.foreignWrites
        guard let one = written.first else {
            return [
                Finding(
                    .ok, "projection", "store",
                    isCompared
                        ? "\(collections.library) says what the records say, as far as they were compared"
                        : "\(collections.library) gets what was not written there for a while; until that is done"
                            + " nothing is compared")
            ]
        }
        let whose =
            scope == .all ? "the documents of \(written.count) workflows of this server" : "documents of this server"
        return [
            Finding(
                .warning, "foreign_writes", "store",
                "somebody else wrote to \(whose) in \(collections.library)"
                    + (scope == .all ? ", such as \(one)" : ""),
                consequence:
                    "nothing of it counts, and it is written over; but a task that was sent with it has run, and "
                    + "whoever did it believes that the workflow was started, paused or resumed",
                remedy: "take start, pause, resume and delete of the original library, or of its HTTP service, out of "
                    + "what works with these workflows, and let it use rhythm")
        ]
    }
}
