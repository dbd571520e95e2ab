import Admission
import RelayCore

/// The form with a key's rules, for creating a key and for changing one.
enum KeyForm {
    /// The values of the form's fields.
    static func fields(of key: Key) -> Form {
        var fields: [(String, String)] = [
            ("name", key.name), ("per_second", decimal(key.limits.perSecond)),
            ("burst", key.limits.burst.map(String.init) ?? ""), ("per_day", key.limits.perDay.map(String.init) ?? ""),
            ("domains", key.domains.map(\.description).joined(separator: "\n")),
            ("networks", key.networks.map(\.description).joined(separator: "\n")),
            ("expires", key.expiresAt.map(date) ?? ""),
        ]
        fields += key.scopes.map { ("scope", $0.rawValue) }
        if key.detectsRepeats { fields.append(("repeats", "1")) }
        if key.webhooksForAll { fields.append(("webhooks_for_all", "1")) }
        return Form(fields)
    }

    static func html(_ form: Form, isNew: Bool) -> HTML {
        let environments: HTML = """
            <fieldset><legend>Environment</legend>\
            <label class="check"><input type="radio" name="environment" value="test"\(when(form["environment"] != "live", " checked"))> \
            <span><b>test</b>: mail is only simulated, nothing is delivered</span></label>\
            <label class="check"><input type="radio" name="environment" value="live"\(when(form["environment"] == "live", " checked"))> \
            <span><b>live</b>: mail is sent through SES</span></label></fieldset>
            """
        let scopes = Scope.allCases.map { scope in
            Part.check(
                "scope", scope.rawValue, form.all("scope").contains(scope.rawValue),
                "<b>\(scope.rawValue)</b>: \(meaning(scope))")
        }
        return """
            \(Part.field("Name", Part.input("name", form.raw("name"), "required maxlength=\"100\" autocomplete=\"off\""), hint: "What the key is for, such as the application that uses it."))
            \(when(isNew, environments))
            <fieldset><legend>Scopes</legend>\(scopes)</fieldset>
            <div class="columns">
            \(Part.field("Emails per second", Part.input("per_second", form.raw("per_second"), "inputmode=\"decimal\""), hint: "One recipient of one message is one email. Empty: 10."))
            \(Part.field("Burst", Part.input("burst", form.raw("burst"), "inputmode=\"numeric\""), hint: "Emails that may be sent at once. Empty: one second's worth."))
            \(Part.field("Emails per day", Part.input("per_day", form.raw("per_day"), "inputmode=\"numeric\""), hint: "Per UTC day. Empty: no cap."))
            </div><div class="columns">
            \(Part.field("Domains", "<textarea name=\"domains\" rows=\"3\" spellcheck=\"false\">\(lines: form.raw("domains"))</textarea>", hint: "It may send only from these, one per line: <code>example.com</code>, <code>*.example.com</code> for subdomains. Empty: any."))
            \(Part.field("Networks", "<textarea name=\"networks\" rows=\"3\" spellcheck=\"false\">\(lines: form.raw("networks"))</textarea>", hint: "It works only from these addresses and CIDR blocks. Empty: any."))
            </div>
            \(Part.field("Works until", Part.input("expires", form.raw("expires"), type: "date"), hint: "The key expires at 00:00 UTC on this day. Empty: it never expires."))
            \(Part.check("repeats", "1", form.has("repeats"), "Queue a message only once if it is submitted twice within a day"))
            \(Part.check("webhooks_for_all", "1", form.has("webhooks_for_all"), "The key's webhooks get events about the messages of all keys of its environment"))
            """
    }

    /// The initial values for a new key.
    static let beginning = Form([
        ("scope", Scope.send.rawValue), ("per_second", decimal(SendingLimits.defaultPerSecond)), ("repeats", "1"),
    ])

    private static func meaning(_ scope: Scope) -> String {
        switch scope {
        case .send: "send by SMTP, and one email at a time over HTTP"
        case .batch: "send many emails in one HTTP request"
        case .domains: "manage sending domains"
        case .templates: "manage templates"
        case .webhooks: "manage webhooks"
        }
    }

    /// The change that the form describes: every rule gets the form's value.
    ///
    /// - Parameter key: the key as it is now; nil for a new one.
    static func change(
        _ form: Form, of key: Key?, now: Timestamp
    ) throws(FormMistake) -> @Sendable (inout Key) -> Void {
        let name = try rule("name", "The name", try KeyRules.name(form["name"]))
        var scopes: Set<Scope> = []
        for text in form.all("scope") {
            scopes.insert(try rule("scope", "Scopes:", try KeyRules.scope(text)))
        }
        if key == nil, scopes.isEmpty { throw FormMistake("scope", "Choose at least one scope") }
        guard
            let rate = decimalNumber(
                form["per_second"].isEmpty ? decimal(SendingLimits.defaultPerSecond) : form["per_second"])
        else {
            throw FormMistake("per_second", "Emails per second must be a number, such as 10 or 0.5")
        }
        let perSecond = try rule("per_second", "Emails per second", try KeyRules.perSecond(rate))
        var burst = try form.number("burst", "The burst")
        if let value = burst {
            burst = try rule("burst", "The burst", try KeyRules.burst(value))
        }
        var perDay = try form.number("per_day", "Emails per day")
        if let value = perDay {
            perDay = try rule("per_day", "Emails per day", try KeyRules.perDay(value))
        }
        var domains: [DomainPattern] = []
        for text in form.list("domains") {
            domains.append(try rule("domains", "Domains:", try KeyRules.domain(text)))
        }
        var networks: [NetworkBlock] = []
        for text in form.list("networks") {
            networks.append(try rule("networks", "Networks:", try KeyRules.network(text)))
        }
        let day = form["expires"]
        var expiresAt: Timestamp?
        if !day.isEmpty {
            guard let time = Timestamp(rfc3339: Array("\(day)T00:00:00Z".utf8)) else {
                throw FormMistake("expires", "The expiry must be a day, such as 2030-12-31")
            }
            // An expiry that the form did not change may be in the past.
            if key?.expiresAt.map(date) != day {
                _ = try rule("expires", "The expiry", try KeyRules.expiry(time, now: now))
            }
            expiresAt = time
        }
        let limits = SendingLimits(perSecond: perSecond, burst: burst, perDay: perDay)
        let (detectsRepeats, webhooksForAll) = (form.has("repeats"), form.has("webhooks_for_all"))
        return { [scopes, domains, networks, expiresAt] key in
            key.name = name
            key.scopes = scopes
            key.limits = limits
            key.domains = domains
            key.networks = networks
            key.detectsRepeats = detectsRepeats
            key.webhooksForAll = webhooksForAll
            // The form has only a day. If the day is unchanged, the time within that day stays.
            if key.expiresAt.map(date) ?? "" != day { key.expiresAt = expiresAt }
        }
    }

    /// A number of digits, with an optional decimal point.
    private static func decimalNumber(_ text: String) -> Double? {
        text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: ".") }
            ? Double(text) : nil
    }

    /// Returns what `check` returns. If it finds a mistake, throws it as a mistake of the field.
    private static func rule<Value>(
        _ field: String, _ label: String, _ check: @autoclosure () throws -> Value
    ) throws(FormMistake) -> Value {
        do {
            return try check()
        } catch {
            throw FormMistake(field, "\(label) \(error)")
        }
    }

    private static func date(_ time: Timestamp) -> String { String(time.rfc3339.prefix(10)) }
}
