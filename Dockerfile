# One build stage, then one target per program:
#
#     docker build --target outrider -t outrider .
#
# The final image holds one static file: no shell, no libraries, no package
# manager, nothing to write to. Run it with a read-only root file system.
# `make image-layout` proves these steps without a container engine; it
# understands the instructions used here and fails on any other.

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
# Modules first, so that a change of the code doesn't download them again.
COPY go.mod go.sum ./
COPY internal/ocsf/go.mod internal/ocsf/
RUN go mod download
# With .git, from which the go command takes the version it records in the
# binary: there is no second place that states it.
COPY . .
ARG TARGETOS
ARG TARGETARCH
ENV CGO_ENABLED=0
ENV TAGS=grpcnotrace,coraza.disabled_operators.validateSchema,no_fs_access
# The Makefile says what the tags leave out, and why.
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -tags $TAGS,nethttpomithttp2 \
    -ldflags="-s -w" -o out/ ./cmd/outrider
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -tags $TAGS \
    -ldflags="-s -w" -o out/ ./cmd/outrider-injector ./cmd/outrider-load ./examples/shop

# The load tool, for a Job in the cluster. Its user is not the sidecar's: what that
# one sends is not captured, and load that goes past the sidecar measures nothing.
FROM scratch AS outrider-load
COPY --from=build --chmod=0555 /src/out/outrider-load /outrider-load
USER 65532:65532
ENTRYPOINT ["/outrider-load"]

# The shop of the examples, which is no part of the product.
FROM scratch AS outrider-shop
COPY --from=build --chmod=0555 /src/out/shop /shop
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/shop"]

# The control plane. It needs no user of its own: its traffic is not captured.
FROM scratch AS outrider-injector
COPY --from=build --chmod=0555 /src/out/outrider-injector /outrider-injector
USER 65532:65532
EXPOSE 8443 15011 15012 15020 15021
ENTRYPOINT ["/outrider-injector"]
CMD ["serve"]

# The sidecar, which is also what is built when no target is named. The UID is the one that traffic capture exempts.
FROM scratch AS outrider
COPY --from=build --chmod=0555 /src/out/outrider /outrider
USER 21337:21337
EXPOSE 15001 15006 15020 15021
ENTRYPOINT ["/outrider"]
CMD ["run"]
