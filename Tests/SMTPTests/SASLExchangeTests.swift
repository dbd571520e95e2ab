import TestSupport
import Testing

@testable import SMTP

@Suite("SASL exchanges")
struct SASLExchangeTests {
    struct Exchange: Sendable {
        let mechanism: SASLMechanism
        var initial: String?
        var lines: [String] = []
        let outcome: [String]

        init(_ mechanism: SASLMechanism, initial: String? = nil, _ lines: String..., outcome: String...) {
            self.mechanism = mechanism
            self.initial = initial
            self.lines = lines
            self.outcome = outcome
        }
    }

    private static func rendered(_ step: SASLExchange.Step) -> String {
        switch step {
        case .challenge(let text): "334 \(text)"
        case .finished(let credentials): "'\(text(credentials.userName))' / '\(text(credentials.password))'"
        case .cancelled: "cancelled"
        case .invalid(let text): "invalid: \(text)"
        }
    }

    private static let badBase64 = "invalid: … base64 …"
    private static let badPlain = "invalid: … PLAIN … NUL … user name … NUL … password …"

    @Test(
        "Exchanges",
        arguments: [
            // "\0apikey\0sesame"
            Exchange(.plain, initial: "AGFwaWtleQBzZXNhbWU=", outcome: "'apikey' / 'sesame'"),
            Exchange(.plain, "AGFwaWtleQBzZXNhbWU=", outcome: "334 ", "'apikey' / 'sesame'"),
            // "someone\0apikey\0sesame": the authorization identity is ignored.
            Exchange(.plain, initial: "c29tZW9uZQBhcGlrZXkAc2VzYW1l", outcome: "'apikey' / 'sesame'"),
            // "\0\0sesame", "\0apikey\0"
            Exchange(.plain, initial: "AABzZXNhbWU=", outcome: "'' / 'sesame'"),
            Exchange(.plain, initial: "AGFwaWtleQA=", outcome: "'apikey' / ''"),
            // "\0apikey", "apikey", "\0a\0b\0c"
            Exchange(.plain, initial: "AGFwaWtleQ==", outcome: badPlain),
            Exchange(.plain, initial: "YXBpa2V5", outcome: badPlain),
            Exchange(.plain, initial: "AGEAYgBj", outcome: badPlain),
            Exchange(.plain, initial: "=", outcome: badPlain),
            Exchange(.plain, "", outcome: "334 ", badPlain),
            Exchange(.plain, "=", outcome: "334 ", badBase64),
            Exchange(.plain, "*", outcome: "334 ", "cancelled"),
            Exchange(.plain, initial: "*", outcome: "cancelled"),
            Exchange(.plain, "* ", outcome: "334 ", badBase64),
            Exchange(.plain, "AGFwaWtleQBzZXNhbWU", outcome: "334 ", badBase64),
            Exchange(.plain, initial: "AGFwaWtleQBzZXNhbWU= ", outcome: badBase64),
            Exchange(.plain, "AGFwaWtl\tQBzZXNhbWU", outcome: "334 ", badBase64),
            Exchange(
                .login, "YXBpa2V5", "c2VzYW1l", outcome: "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "'apikey' / 'sesame'"),
            Exchange(.login, initial: "YXBpa2V5", "c2VzYW1l", outcome: "334 UGFzc3dvcmQ6", "'apikey' / 'sesame'"),
            Exchange(.login, initial: "=", "c2VzYW1l", outcome: "334 UGFzc3dvcmQ6", "'' / 'sesame'"),
            Exchange(.login, "", "", outcome: "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "'' / ''"),
            // A password may have any octets, including NUL.
            Exchange(.login, initial: "YXBpa2V5", "cwBl", outcome: "334 UGFzc3dvcmQ6", "'apikey' / 's\0e'"),
            Exchange(.login, "*", outcome: "334 VXNlcm5hbWU6", "cancelled"),
            Exchange(.login, "YXBpa2V5", "*", outcome: "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "cancelled"),
            Exchange(.login, initial: "*", outcome: "cancelled"),
            Exchange(.login, "apikey", outcome: "334 VXNlcm5hbWU6", badBase64),
            Exchange(.login, initial: "apikey", outcome: badBase64),
            Exchange(.login, "YXBpa2V5", "=", outcome: "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", badBase64),
            Exchange(.login, "YXBpa2V5", "c2VzYW1", outcome: "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", badBase64),
        ])
    func exchanges(_ test: Exchange) {
        var (exchange, step) = SASLExchange.begin(test.mechanism, initialResponse: test.initial.map { Array($0.utf8) })
        var outcome = [Self.rendered(step)]
        for line in test.lines {
            step = exchange.received(Array(line.utf8))
            outcome.append(Self.rendered(step))
        }
        #expect(outcome.reads(test.outcome))
    }

    @Test("The description and the dump of credentials do not show the password")
    func withheld() {
        let credentials = Credentials(userName: Array("apikey".utf8), password: Array("sesame".utf8))
        var dumped = ""
        dump(credentials, to: &dumped)
        var inAction = ""
        dump(Session.Action.authenticate(credentials), to: &inAction)
        let octets = Array("sesame".utf8).map(String.init)
        for shown in ["\(credentials)", String(reflecting: credentials), dumped, inAction, "\([credentials])"] {
            #expect(
                !shown.contains("sesame") && !shown.contains(octets.joined(separator: ", ")) && !shown.contains("- 115")
            )
        }
    }
}
