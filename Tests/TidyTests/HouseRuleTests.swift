import Foundation
import Testing

/// House rules that no compiler checks.
@Suite struct HouseRuleTests {
    @Test("files stay short enough to be read", arguments: ["Sources", "clients", "Tests"])
    func files(below folder: String) throws {
        for file in try Repository.swiftFiles(below: folder) {
            #expect(file.lines.count <= 800, "\(file.path) has \(file.lines.count) lines")
        }
    }

    @Test("unchecked promises come with their proof", arguments: ["Sources", "clients"])
    func promises(below folder: String) throws {
        for file in try Repository.swiftFiles(below: folder) {
            for (number, line) in file.lines.enumerated()
            where line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)") {
                guard !line.trimmingCharacters(in: .whitespaces).hasPrefix("//") else { continue }
                let above = file.lines[max(0, number - 8)...number]
                #expect(
                    above.contains { $0.contains("SAFETY:") },
                    "\(file.path):\(number + 1) has no SAFETY comment that proves it")
            }
        }
    }

    @Test("nothing is left over", arguments: ["Sources", "clients"])
    func leftOvers(below folder: String) throws {
        let words = ["TO" + "DO", "FIX" + "ME", "try" + "! ", " as" + "! "]
        for file in try Repository.swiftFiles(below: folder) {
            for (number, line) in file.lines.enumerated() {
                for word in words { #expect(!line.contains(word), "\(file.path):\(number + 1) holds '\(word)'") }
            }
        }
    }

    @Test("the top level holds what was agreed and nothing else")
    func topLevel() throws {
        let agreed: Set<String> = [
            "Package.swift", "Makefile", "Sources", "Tests", "proto", "clients", "README.md", "LICENSE",
        ]
        let names = try FileManager.default.contentsOfDirectory(atPath: Repository.root.path)
            .filter { !$0.hasPrefix(".") && $0 != "Package.resolved" }
        #expect(Set(names).subtracting(agreed).isEmpty, "\(names)")
    }
}
