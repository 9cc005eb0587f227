import Testing

@testable import RhythmMongo

@Suite struct SecretsTests {
    /// As it stands in the address and decoded, wherever it turns up.
    @Test func passwordsAreFoundAndRemoved() {
        let address =
            "mongodb+srv://us%40er:p%40ss%2Fword@h:1/db?tls=true&tlsCertificateKeyFilePassword=k%C3%A9y&appName=shown"
        let secrets = Secrets(address: address)
        #expect(secrets.texts == ["p%40ss%2Fword", "p@ss/word", "k%C3%A9y", "kéy"])
        let text = "no 'p@ss/word' at \(address) with kéy"
        #expect(
            secrets.removed(from: text)
                == "no '***' at mongodb+srv://us%40er:***@h:1/db?tls=true&tlsCertificateKeyFilePassword=***&appName=shown with ***"
        )
    }

    @Test(arguments: [
        "", "x", "mongodb://", "mongodb://h/x", "mongodb://user@h", "mongodb://h?a=b&password", "a://%:%zz@",
    ])
    func addressesWithoutOneHarmNothing(_ address: String) {
        #expect(Secrets(address: address).removed(from: "untouched") == "untouched")
    }
}
