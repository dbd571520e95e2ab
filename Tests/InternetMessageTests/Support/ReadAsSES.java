import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.PrintStream;
import java.io.UnsupportedEncodingException;
import java.util.ArrayList;
import java.util.ConcurrentModificationException;
import java.util.List;
import java.util.Properties;
import javax.mail.MessagingException;
import javax.mail.Session;
import javax.mail.internet.ContentDisposition;
import javax.mail.internet.ContentType;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import javax.mail.internet.MimePart;
import javax.mail.internet.MimePartDataSource;
import javax.mail.internet.MimeUtility;

/**
 * Reads messages with JavaMail, in the way that reproduces the refusals of SES.
 *
 * Input: messages, each behind its length in four octets, big-endian. Output, a line for each message: "ok", or "none" for no
 * verdict, or why JavaMail refuses it; behind that, with a tab before each, the names of the files that it finds.
 */
public class ReadAsSES {
    private final List<String> names = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        System.setProperty("mail.mime.decodefilename", "true");
        Session session = Session.getInstance(new Properties());
        DataInputStream input = new DataInputStream(System.in);
        PrintStream output = new PrintStream(System.out, false, "US-ASCII");
        while (true) {
            byte[] octets;
            try {
                octets = new byte[input.readInt()];
            } catch (EOFException end) {
                break;
            }
            input.readFully(octets);
            ReadAsSES reader = new ReadAsSES();
            StringBuilder line = new StringBuilder(reader.verdict(session, octets));
            for (String name : reader.names) line.append('\t').append(name.replaceAll("[^ -~]", "?"));
            output.println(line);
        }
        output.flush();
    }

    private String verdict(Session session, byte[] octets) throws Exception {
        try {
            MimeMessage message = new MimeMessage(session, new ByteArrayInputStream(octets));
            for (String field : new String[] {"To", "Cc", "Reply-To"}) {
                String[] bodies = message.getHeader(field);
                if (bodies == null) continue;
                for (String body : bodies) readAddresses(body);
            }
            readEntity(message, message.getHeader("Content-Type", null), message.getHeader("Content-Disposition", null));
            return "ok";
        } catch (MessagingException refusal) {
            return String.valueOf(refusal.getMessage()).replaceAll("[^ -~]", "?");
        } catch (ConcurrentModificationException fault) {
            // JavaMail's own fault, at two parameters in pieces whose first is not encoded. It says nothing about the message.
            names.clear();
            return "none";
        }
    }

    /** "Missing final '@domain'" is what SES says of an empty field as well. */
    private static void readAddresses(String body) throws MessagingException {
        InternetAddress[] addresses = InternetAddress.parseHeader(body, true);
        if (addresses.length == 0) throw new MessagingException("Missing final '@domain'");
        for (InternetAddress address : addresses) address.validate();
    }

    private void readEntity(MimePart part, String type, String disposition) throws Exception {
        // JavaMail itself overlooks a wrong Content-Type in places; SES does not ("Expected '/', got ;").
        ContentType contentType = type == null ? null : new ContentType(type);
        if (disposition != null) {
            note(new ContentDisposition(disposition).getParameter("filename"));
        }
        if (contentType != null) note(contentType.getParameter("name"));
        part.getEncoding();
        if (contentType == null || !contentType.getPrimaryType().equalsIgnoreCase("multipart")) return;
        MimeMultipart parts = new MimeMultipart(new MimePartDataSource(part));
        for (int index = 0; index < parts.getCount(); index++) {
            MimeBodyPart inner = (MimeBodyPart) parts.getBodyPart(index);
            readEntity(inner, inner.getHeader("Content-Type", null), inner.getHeader("Content-Disposition", null));
        }
    }

    private void note(String name) {
        if (name == null) return;
        try {
            names.add(MimeUtility.decodeText(name));
        } catch (UnsupportedEncodingException unknown) {
            names.add(name);
        }
    }
}
