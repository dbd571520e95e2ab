import InternetMessage

extension Email {
    /// All defects because of which the email can't be composed, or because of which the composed message would be
    /// refused, in the order of the email's values. Empty for a valid email.
    ///
    /// Rules that depend on the key or on settings are not checked here: who may be the author, the number of
    /// recipients, the size of the message, and the endings of file names that the operator refuses.
    public func defects() -> [EmailDefect] {
        var defects: [EmailDefect] = []
        checkMailboxes(&defects)
        checkText(&defects)
        checkAttachments(&defects)
        checkHeaders(&defects)
        if defects.isEmpty, !fitsHeaderSection {
            defects.append(
                EmailDefect(
                    .headerSection,
                    "Addresses, subject and headers make more than \(Self.maximumHeaderSize / 1024) KiB; "
                        + "shorten names and headers or send several emails"))
        }
        return defects
    }

    private func checkMailboxes(_ defects: inout [EmailDefect]) {
        func check(_ mailbox: Mailbox, _ place: @autoclosure () -> EmailDefect.Place) {
            guard let name = mailbox.displayName, let fault = Mailbox.fault(inName: name) else { return }
            defects.append(EmailDefect(place(), fault.explanation))
        }
        check(from, .from)
        if from.address.domainName == nil {
            defects.append(
                EmailDefect(.from, "The author has an IP address after the @; write a domain that may send mail"))
        }
        if to.isEmpty { defects.append(EmailDefect(.recipients, "The email has no recipient; name at least one")) }
        for (index, mailbox) in to.enumerated() { check(mailbox, .to(index)) }
        for (index, mailbox) in cc.enumerated() { check(mailbox, .cc(index)) }
        for (index, mailbox) in bcc.enumerated() { check(mailbox, .bcc(index)) }
        for (index, mailbox) in replyTo.enumerated() { check(mailbox, .replyTo(index)) }
    }

    private func checkText(_ defects: inout [EmailDefect]) {
        if subject.utf8.count > Self.maximumSubjectLength {
            defects.append(
                EmailDefect(.subject, "The subject is longer than \(Self.maximumSubjectLength) octets; shorten it"))
        } else if subject.holdsControl(allowsTab: true) {
            defects.append(
                EmailDefect(.subject, "The subject holds a line end or another control character; leave it out"))
        }
        if text == nil, html == nil {
            defects.append(EmailDefect(.body, "The email has neither text nor html; write at least one"))
        }
        if text?.holdsNull == true {
            defects.append(EmailDefect(.text, "The text holds a NUL character; leave it out"))
        }
        if html?.holdsNull == true {
            defects.append(EmailDefect(.html, "The html holds a NUL character; leave it out"))
        }
    }

    private func checkAttachments(_ defects: inout [EmailDefect]) {
        guard attachments.count <= Self.maximumAttachments else {
            defects.append(
                EmailDefect(
                    .attachments,
                    "The email has more than \(Self.maximumAttachments) attachments; put them in an archive"))
            return
        }
        var identifiers: Set<String> = []
        for (index, attachment) in attachments.enumerated() {
            if let fault = attachment.filenameFault {
                defects.append(EmailDefect(.attachment(index, .filename), fault))
            }
            if let type = attachment.contentType {
                do throws(MediaTypeError) {
                    _ = try MediaType(parsing: type)
                } catch {
                    defects.append(EmailDefect(.attachment(index, .contentType), error.explanation))
                }
            }
            guard let identifier = attachment.contentID else { continue }
            if let fault = Attachment.fault(inContentID: identifier) {
                defects.append(EmailDefect(.attachment(index, .contentID), fault))
            } else if !identifiers.insert(identifier).inserted {
                defects.append(
                    EmailDefect(
                        .attachment(index, .contentID),
                        "Another attachment has the same content identifier; give each one its own"))
            }
        }
    }

    private func checkHeaders(_ defects: inout [EmailDefect]) {
        guard headers.count <= Self.maximumHeaders else {
            defects.append(
                EmailDefect(.headers, "The email has more than \(Self.maximumHeaders) headers; leave some out"))
            return
        }
        var names: Set<[UInt8]> = []
        for header in headers {
            func add(_ explanation: String) { defects.append(EmailDefect(.header(header.name), explanation)) }
            let name = header.name.utf8.map(\.asciiLowercased)
            if let fault = HeaderFieldRule.fault(inName: name) {
                add(fault)
            } else if !names.insert(name).inserted {
                add("The header occurs twice; names that differ only in case are the same")
            }
            if let fault = HeaderFieldRule.fault(inValue: header.value, of: name) { add(fault) }
        }
    }

    /// Whether the header section is within its limit. Most emails are so small that the answer needs no composition.
    private var fitsHeaderSection: Bool {
        var count = subject.utf8.count
        for mailbox in [from] + to + cc + replyTo { count += (mailbox.displayName?.utf8.count ?? 0) + 254 }
        for header in headers { count += header.name.utf8.count + header.value.utf8.count + 4 }
        // An octet takes up to three characters in an encoded word, and each encoded word has a frame. Together these
        // are less than four characters for each octet.
        if count * 4 < Self.maximumHeaderSize - 8192 { return true }
        return HeaderSectionWriter.octets(of: self).count + 512 <= Self.maximumHeaderSize
    }
}

extension Email.Attachment {
    /// The defect of the file's name, or nil.
    ///
    /// A path is refused, not shortened. The last part of the path might not be the name that the sender means, and
    /// some readers save the file at the place that the path names.
    fileprivate var filenameFault: String? {
        if filename.isEmpty { return "The file has no name; write one such as report.pdf" }
        if filename.utf8.count > Self.maximumFilenameLength {
            return "The name of the file is longer than \(Self.maximumFilenameLength) octets; shorten it"
        }
        if filename.holdsControl(allowsTab: false) {
            return "The name of the file holds a line end or another control character; leave it out"
        }
        if filename.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == .backslash }) {
            return "The name of the file holds a / or a backslash; write the name without its path"
        }
        if filename.holdsEncodedWordStart {
            return "The name of the file holds =?, as an encoded word does; write the name itself in Unicode"
        }
        if filename == "." || filename == ".." { return "The name of the file is that of a folder; write another one" }
        let ends = [filename.unicodeScalars.first, filename.unicodeScalars.last]
        if ends.contains(where: { $0?.properties.isWhitespace == true }) {
            return "The name of the file begins or ends with a blank; leave the blank out"
        }
        return nil
    }

    /// The defect of a content identifier, or nil.
    fileprivate static func fault(inContentID identifier: String) -> String? {
        guard (1...maximumContentIDLength).contains(identifier.utf8.count) else {
            return "The content identifier must have 1 to \(maximumContentIDLength) characters"
        }
        guard identifier.utf8.allSatisfy({ ($0.isAtomText && $0 != .questionMark) || isInnerMark($0) }) else {
            return "The content identifier holds a character other than letters, digits, dots, @ and hyphens; "
                + "write it without angle brackets, as in logo or logo@example.com"
        }
        return nil
    }

    private static func isInnerMark(_ byte: UInt8) -> Bool { byte == UInt8(ascii: ".") || byte == UInt8(ascii: "@") }
}
