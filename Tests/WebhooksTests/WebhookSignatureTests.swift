import Foundation
import Hashing
import RelayCore
import TestSupport
import Testing

@testable import Webhooks

@Suite("Signatures") struct WebhookSignatureTests {
    /// The example of the Standard Webhooks libraries' own tests.
    @Test("Signatures are those of Standard Webhooks") func standard() throws {
        let secret = WebhookSecret(octets: Array(try #require(Data(base64Encoded: "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))))
        let signature = WebhookSignature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body: Array(#"{"test": 2432232314}"#.utf8), secrets: [secret],
            at: Timestamp(milliseconds: 1_614_265_330_999))
        #expect(signature.standard == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        #expect(signature.timestamp == 1_614_265_330)
        #expect(secret.text == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    @Test("After a rotation, two secrets sign for a day; the vendor's signature uses the new one") func rotation() {
        var hook = webhook()
        let old = hook.secret
        var generator = SeededGenerator(seed: 9)
        hook.rotate(to: WebhookSecret(using: &generator), now: Sample.now)
        let later = Sample.now + Webhook.rotationGrace
        #expect(hook.secrets(at: later - .milliseconds(1)) == [hook.secret, old])
        #expect(hook.secrets(at: later) == [hook.secret])
        let body = Array("{}".utf8)
        func sign(_ secrets: [WebhookSecret]) -> WebhookSignature {
            WebhookSignature(id: "evt_1", body: body, secrets: secrets, at: Sample.now)
        }
        let both = sign([hook.secret, old])
        #expect(both.standard == sign([hook.secret]).standard + " " + sign([old]).standard)
        let code = HMACSHA256.code(for: body, key: hook.secret.text.utf8)
        #expect(both.hiveku == code.hexadecimal)
    }

    @Test("No description contains a secret") func withheld() {
        let hook = webhook()
        #expect(!"\(hook)".contains(hook.secret.text) && !"\(hook.secret)".contains("whsec"))
    }
}
