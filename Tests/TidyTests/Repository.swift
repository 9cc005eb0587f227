import Foundation

/// The files of this repository, for tests that read them.
enum Repository {
    /// The top level.
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// One Swift file.
    struct File {
        /// Below the top level.
        let path: String
        let lines: [String]

        /// The modules it imports.
        var imports: [String] {
            lines.compactMap { line in
                // The pattern is slow in a debug build, and hardly a line is an import.
                guard line.contains("import "),
                    let match = line.wholeMatch(of: /^(?:@[a-zA-Z]+ )*(?:public |package |internal )?import (\w+).*/)
                else { return nil }
                return String(match.1)
            }
        }
    }

    /// Every Swift file below a folder.
    static func swiftFiles(below folder: String) throws -> [File] {
        let base = root.appendingPathComponent(folder)
        guard let paths = FileManager.default.enumerator(atPath: base.path) else { return [] }
        var files: [File] = []
        for case let path as String in paths where path.hasSuffix(".swift") {
            let text = try String(contentsOf: base.appendingPathComponent(path), encoding: .utf8)
            files.append(
                File(
                    path: folder + "/" + path,
                    lines: text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }))
        }
        return files
    }
}
