import Admission
import InternetMessage
import Logging
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

    private static func makeAdmission(_ store: some KeyDirectoryStore & SubmissionStore) -> Admission {
        Admission(
            configuration: Admission.Configuration(
                hostname: "relay.example.com", maximumMessageSize: 1 << 20, maximumRateDelay: .seconds(5),
                preparation: PreparationPolicy()),
            store: store, clock: SystemClock(), logger: Logger(label: "benchmark") { _ in SwiftLogNoOpLogHandler() }
        ) { _ in }
    }

    private static func authenticate(_ password: [UInt8], _ admission: Admission) async throws -> Grant {
        try await admission.authenticate(
            userName: Array("apikey".utf8), password: password, client: Sample.client
        ).get()
    }

    /// Does everything that happens to a message from MAIL to the reply 250.
    private static func submit(_ message: [UInt8], _ admission: Admission, _ grant: Grant) async throws {
        let origin = Admission.Origin(clientName: "client.example.com", client: Sample.client, with: "ESMTPSA")
        var reception = try admission.begin(from: .mailbox(sampleSender), origin: origin, grant).get()
        if let refusal = reception.add(sampleRecipient) { throw refusal }
        guard case .now = reception.open() else { throw UnexpectedResult("the rate was used up") }
        message.withUnsafeBytes { reception.consume($0) }
        guard case .more = reception.next(), case .complete(let complete) = reception.finish() else {
            throw UnexpectedResult("the message was refused, or spooled")
        }
        _ = try await withCheckedContinuation { continuation in
            admission.submit(complete) { continuation.resume(returning: $0) }
        }.get()
    }
}
