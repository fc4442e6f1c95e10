//! What `--help` and the manual pages of the client commands say beside their flags. Texts only.

/// Behind the help of `send`.
pub const SEND: &str = "\
Examples:
  hoody-pipe send image.tar http://127.0.0.1:8080/build -n 30   # a file to 30 receivers
  pg_dump app | hoody-pipe send http://127.0.0.1:8080/dump      # stdin
  hoody-pipe send http://127.0.0.1:8080/dump -- pg_dump app     # safer: see below

In `pg_dump | send` nobody can see that pg_dump failed: its half output would be a whole stream.
With `-- CMD` the upload is ended only if CMD exits with 0; otherwise receivers see a cut, at once,
and the exit code is 7. If the transfer fails, CMD gets SIGTERM, and 2 s later SIGKILL; what CMD has
started does not: write sh -c 'exec ...' for the last command of a script.

Exit code 0 is a proof: the relay's answer ended cleanly, its last line was 'Transfer complete.',
and it passed on as many bytes as were sent; with --sha256 also the same ones. It counts receivers
to whose connections everything was written: at least one, or with --require-all every one.

With --retry, FILE is sent again from its beginning as long as no line 'Streaming to' has come: when
nobody came in time (408), the relay was busy, or the connection was lost. With --quiet: on 408 and
429. Stdin and CMD only if nothing was read from them yet. Never after a cancellation, nor when a
transfer with an id of your own has waited: an id can be used once.

Exit codes: 0 proven complete; 1 failed, cut, or another SHA-256; 2 usage; 3 refused; 4 cannot
connect; 5 timed out; 6 cancelled; 7 the command failed; 8 ended cleanly but without proof;
130, 143 on SIGINT, SIGTERM.";

/// Behind the help of `receive`.
pub const RECEIVE: &str = "\
Examples:
  hoody-pipe receive http://127.0.0.1:8080/build -n 30 -o image.tar
  hoody-pipe receive http://127.0.0.1:8080/dump | psql app
  hoody-pipe receive http://127.0.0.1:8080/dump --wait 50 --retry 99   # where a proxy is impatient

Exit code 0 is a proof: the stream ended cleanly and had its declared length, or, when none was
declared, the relay's status of the transfer (asked for up to 10 s) shows the same number of bytes
and no failure; with --sha256 also the same digest. A clean end without such a word is exit code 8.

With -o the bytes go to FILE.part, which becomes FILE only with exit code 0. In all other cases
FILE is left alone, and what has come stays in FILE.part. Only one receive can write a FILE.part.
If FILE is a link its target is replaced; a device or a FIFO is written to as it is.

Exit codes: 0 proven complete; 1 failed, cut, or another SHA-256, also if nobody reads stdout any
more (| head -c 1); 2 usage, or FILE cannot be written; 3 refused; 4 cannot connect; 5 timed out;
6 cancelled; 8 ended cleanly but without proof; 130, 143 on SIGINT, SIGTERM.";

/// Behind the help of `status`.
pub const STATUS: &str = "\
Examples:
  hoody-pipe status http://127.0.0.1:8080/build
  hoody-pipe status http://127.0.0.1:8080/build | jq -r .state
  hoody-pipe status http://127.0.0.1:8080/build --transfer-id 0123456789abcdef

Prints one JSON object, indented on a terminal and on one line otherwise. A name that nobody uses
is \"idle\". A transfer is shown for 30 s after its end; one that has a chosen id or was hashed can
be asked for by its id for 10 minutes. Takes no place in the transfer, and does not wait.

Exit codes: 0 answered, whatever the state; 1 no usable answer; 2 usage; 3 refused, also when the
transfer is not known; 4 cannot connect; 130, 143 on SIGINT, SIGTERM.";

/// Behind the help of `progress`.
pub const PROGRESS: &str = "\
Examples:
  hoody-pipe progress http://127.0.0.1:8080/build
  hoody-pipe progress http://127.0.0.1:8080/build | jq -r 'select(.event == \"done\").reason'

Prints a line for each event until the transfer is done: for people on a terminal, where the line
changes while it streams; otherwise as one JSON object with its name in \"event\" (state, progress,
done). Takes no place in the transfer, waits for one to begin, and connects again when the
connection is lost.

Exit codes: 0 the transfer is complete; 1 it failed; 2 usage; 3 refused; 4 cannot connect; 5 it
timed out; 6 it was cancelled; 8 its end was missed; 130, 143 on SIGINT, SIGTERM.";

/// Behind the help of `cancel`.
pub const CANCEL: &str = "\
Example:
  hoody-pipe cancel http://127.0.0.1:8080/build --reason 'wrong image'

Ends what waits or runs at the URL: the sender is told, waiting receivers are refused, and running
ones see a cut. Whoever knows the URL can do so.

Exit codes: 0 cancelled; 1 no answer; 2 usage; 3 refused, also when nobody is there; 4 cannot
connect; 130, 143 on SIGINT, SIGTERM.";

/// Behind the help of `health`.
pub const HEALTH: &str = "\
Examples:
  hoody-pipe health                                # does the node on this machine want clients?
  hoody-pipe health http://127.0.0.1:9090/livez    # does it run?

For the health checks of containers, which have no curl. Says why not, on stderr.

Exit codes: 0 yes; 1 no answer; 2 usage; 3 no; 4 cannot connect; 130, 143 on SIGINT, SIGTERM.";

/// Behind the help of `completions`.
pub const COMPLETIONS: &str = "\
Examples:
  hoody-pipe completions bash > /etc/bash_completion.d/hoody-pipe
  hoody-pipe completions zsh > /usr/local/share/zsh/site-functions/_hoody-pipe
  hoody-pipe completions fish > ~/.config/fish/completions/hoody-pipe.fish";

/// Behind the help of `man`.
pub const MAN: &str = "\
Examples:
  hoody-pipe man > hoody-pipe.1                # the page of the program
  hoody-pipe man /usr/local/share/man/man1     # one page for each command too";
