import Foundation
import RhythmAuth
import RhythmServer
import RhythmTLS

/// Reads the files that say who may connect: at the start, where a mistake is the end, and again on SIGHUP, where
/// whatever cannot be read leaves what was read before in force.
struct SecurityFiles {
    private let settings: SecuritySettings
    private var security: Security

    init(_ settings: SecuritySettings) {
        self.settings = settings
        security = Security()
        if let uids = settings.allowUIDs { security.authenticator.allowedUIDs = Set(uids) }
        security.authenticator.verifiesCertificates = settings.tls?.clientCA != nil
    }

    /// Reads everything.
    mutating func read() throws(SettingsError) -> Security {
        try readTokens()
        try readCertificates()
        return security
    }

    /// Reads everything again.
    ///
    /// - Returns: what is in force now, and what could not be read.
    mutating func reread() -> (Security, [SettingsError]) {
        var failures: [SettingsError] = []
        do throws(SettingsError) { try readTokens() } catch { failures.append(error) }
        do throws(SettingsError) { try readCertificates() } catch { failures.append(error) }
        return (security, failures)
    }

    private mutating func readTokens() throws(SettingsError) {
        guard let path = settings.tokens else { return }
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw SettingsError(
                "tokens: cannot read \(path): \(error.localizedDescription); 'rhythm token create' makes one")
        }
        var status = stat()
        // Who can write it can let himself in.
        if stat(path, &status) == 0, status.st_mode & (S_IWGRP | S_IWOTH) != 0 {
            throw SettingsError("tokens: \(path) can be written by others; run: chmod 600 \(path)")
        }
        do throws(TokensFileError) {
            security.authenticator.list = try AccessList(text: text)
        } catch {
            throw SettingsError("tokens: \(path): \(error)")
        }
    }

    private mutating func readCertificates() throws(SettingsError) {
        guard let files = settings.tls else { return }
        do throws(TLSError) {
            security.tls = try TLSContext.server(
                certificate: files.certificate, key: files.key, clientCA: files.clientCA)
        } catch {
            throw SettingsError("tls: \(error)")
        }
    }
}
