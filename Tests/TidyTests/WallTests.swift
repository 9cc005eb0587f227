import Testing

/// The walls between the modules: dependencies point inwards, and each C library has one module that knows it.
@Suite struct WallTests {
    @Test("the core imports nothing")
    func coreIsPure() throws {
        let files = try Repository.swiftFiles(below: "Sources/RhythmCore")
        #expect(files.count > 10)
        for file in files { #expect(file.imports.isEmpty, "\(file.path) imports \(file.imports)") }
    }

    @Test(
        "only its own module imports a library",
        arguments: [
            ("CRhythmProto", "Sources/RhythmWire/"), ("CProtobufC", "Sources/RhythmWire/"),
            ("GRDB", "Sources/RhythmStoreSQLite/"), ("Yams", "Sources/rhythmd/ clients/cli/"),
            ("CMongoC", "Sources/RhythmMongo/"), ("CRabbitMQ", "Sources/RhythmAMQP/"),
            ("COpenSSL", "Sources/RhythmTLS/"),
        ])
    func librariesHaveOneOwner(module: String, owners: String) throws {
        let allowed = owners.split(separator: " ")
        for file in try Repository.swiftFiles(below: "Sources") + Repository.swiftFiles(below: "clients")
        where file.imports.contains(module) {
            #expect(allowed.contains { file.path.hasPrefix($0) }, "\(file.path) imports \(module)")
        }
    }

    @Test(
        "modules import only what lies further in",
        arguments: [
            ("Sources/RhythmLane", ""), ("Sources/RhythmWire", "RhythmCore"),
            ("Sources/RhythmEngine", "RhythmCore RhythmLane"), ("Sources/RhythmStoreSQLite", "RhythmCore RhythmEngine"),
            ("Sources/RhythmLocalRunner", "RhythmCore RhythmEngine"),
            ("Sources/RhythmInProcessRunner", "RhythmCore RhythmEngine"),
            ("Sources/RhythmMongo", ""), ("Sources/RhythmAMQP", ""),
            ("Sources/RhythmStoreMongo", "RhythmCore RhythmEngine RhythmMongo"),
            ("Sources/RhythmPeers", "RhythmCore RhythmEngine RhythmAMQP"),
            ("Sources/RhythmCelery", "RhythmCore RhythmEngine RhythmLane RhythmAMQP RhythmMongo"),
            ("Sources/RhythmTLS", ""), ("Sources/RhythmAuth", "RhythmCore RhythmTLS"),
            ("Sources/RhythmServer", "RhythmCore RhythmEngine RhythmLane RhythmWire RhythmAuth RhythmTLS"),
            ("clients/swift", "RhythmCore RhythmLane RhythmWire RhythmTLS"),
            ("clients/cli", "RhythmCore RhythmClient RhythmAuth RhythmCommands"),
        ])
    func dependenciesPointInwards(folder: String, allowed: String) throws {
        let allowed = Set(allowed.split(separator: " ").map { String($0) })
        let files = try Repository.swiftFiles(below: folder)
        #expect(!files.isEmpty)
        for file in files {
            let ours = file.imports.filter { $0.hasPrefix("Rhythm") }
            #expect(allowed.isSuperset(of: ours), "\(file.path) imports \(ours)")
        }
    }
}
