import Admission
import InternetMessage
import RelayCore
import SQLiteStore
import TestSupport

extension Workload {
    static let admitting = [
        Workload("authentication, 10 keys") {
            let sample = try SampleStore()
            let keys = (0..<10).map { _ in sampleKey() }
            for (_, stored) in keys { try await sample.store.insertKey(stored) }
            let passwords = keys.map { Array($0.secret.revealed.utf8) }
            let admission = makeAdmission(sample.store)
            return { count in
                for i in 0..<count { _ = try await authenticate(passwords[i % passwords.count], admission) }
                withExtendedLifetime(sample) {}
            }
        },
        Workload("admission of a message of 4 KB, without the store") {
            let (secret, stored) = sampleKey()
            let admission = makeAdmission(ForgetfulStore(stored))
            let grant = try await authenticate(Array(secret.revealed.utf8), admission)
            let message = sampleMessage()
            return { count in
                for _ in 0..<count { try await submit(message, admission, grant) }
            }
        },
    ]

    private static func makeAdmission(_ store: some KeyStore & SubmissionStore) -> Admission {
        Admission(
            configuration: Admission.Configuration(
                hostname: "relay.example.com", maximumMessageSize: 1 << 20, maximumRateDelay: .seconds(5),
                preparation: PreparationPolicy()),
            store: store, clock: SystemClock()
        ) { _ in }
    }

    private static func authenticate(_ password: [UInt8], _ admission: Admission) async throws -> Grant {
        try await withCheckedContinuation { continuation in
            admission.authenticate(userName: Array("apikey".utf8), password: password, client: Sample.client) {
                continuation.resume(returning: $0)
            }
        }.get()
    }

    /// All that happens to a message from DATA to the 250.
    private static func submit(_ message: [UInt8], _ admission: Admission, _ grant: Grant) async throws {
        let envelope = Envelope(reversePath: "orders@example.com", recipients: ["recipient@example.net"])
        guard case .now(let reservation) = admission.open(recipients: 1, grant) else {
            throw UnexpectedResult("the rate was used up")
        }
        let origin = Admission.Origin(clientName: "client.example.com", client: Sample.client, with: "ESMTPSA")
        var (id, intake) = admission.receive(from: origin, expectedSize: message.count, grant)
        message.withUnsafeBytes { intake.consume($0) }
        let summary = try intake.finish().get()
        if let refusal = admission.refusalOfHeader(summary, grant) { throw refusal }
        let submission = Submission(
            id: id, key: grant.id, client: Sample.client, envelope: envelope, subject: summary.subject,
            body: .inline(intake.takeBuffered()), acceptedAt: SystemClock().now(),
            fingerprint: admission.fingerprint(summary, intake, envelope, grant))
        _ = try await withCheckedContinuation { continuation in
            admission.submit(submission, reservation, grant) { continuation.resume(returning: $0) }
        }.get()
    }
}
