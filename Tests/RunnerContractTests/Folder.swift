import Glibc

/// A folder of its own for one test, gone afterwards.
struct Folder: Sendable {
    let path: String

    static func with(_ body: (Folder) async throws -> Void) async throws {
        var template = Array("/tmp/rhythm-test.XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) }
        }
        guard let made else { throw FolderError() }
        let folder = Folder(path: made)
        defer { folder.remove(made) }
        try await body(folder)
    }

    func write(_ name: String, _ text: String) {
        guard let file = fopen(path + "/" + name, "we") else { return }
        fputs(text, file)
        fclose(file)
    }

    func read(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let n = Glibc.read(file, &buffer, buffer.count), n > 0 { bytes += buffer[..<n] }
        return bytes
    }

    func text(_ path: String) -> String? { read(path).map { String(decoding: $0, as: UTF8.self) } }

    func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private func remove(_ path: String) {
        for name in names(in: path) {
            let inner = path + "/" + name
            if unlink(inner) != 0 { remove(inner) }
        }
        rmdir(path)
    }
}

struct FolderError: Error {}
