//! Each tier's vector operations against plain f32 arithmetic.

use super::*;

struct Operations;

impl SimdOp for Operations {
    type Output = ();

    #[inline(always)]
    fn call<I: Isa>(self, isa: I) {
        let v = I::LANES;
        let a: Vec<f32> = (0..v).map(|i| i as f32 * 1.25 - 4.6).collect();
        let b: Vec<f32> = (0..v).map(|i| 3.5 - i as f32).collect();
        let (va, vb) = (isa.load(&a), isa.load(&b));
        let expect = |name: &str, got: I::F, want: &dyn Fn(f32, f32) -> f32| {
            let mut out = vec![0.0; v];
            isa.store(&mut out, got);
            for i in 0..v {
                let want = want(a[i], b[i]);
                assert!((out[i] - want).abs() <= 1e-6 * want.abs(), "{name} lane {i}: {} is not {want}", out[i]);
            }
        };
        expect("add", isa.add(va, vb), &|a, b| a + b);
        expect("sub", isa.sub(va, vb), &|a, b| a - b);
        expect("mul", isa.mul(va, vb), &|a, b| a * b);
        expect("div", isa.div(va, vb), &|a, b| a / b);
        expect("fma", isa.fma(va, vb, va), &|a, b| a.mul_add(b, a));
        expect("min", isa.min(va, vb), &f32::min);
        expect("max", isa.max(va, vb), &f32::max);
        expect("sqrt", isa.sqrt(isa.abs(va)), &|a, _| a.abs().sqrt());
        expect("floor", isa.floor(va), &|a, _| a.floor());
        expect("round", isa.round(va), &|a, _| a.round_ties_even());
        expect("select", isa.select(isa.lt(va, vb), va, vb), &|a, b| if a < b { a } else { b });
        let nan = isa.splat(f32::NAN);
        expect("eq", isa.select(isa.eq(va, va), va, vb), &|a, _| a);
        expect("a NaN equals nothing", isa.select(isa.eq(nan, nan), va, vb), &|_, b| b);
        expect("pow2", isa.pow2(isa.floor(va)), &|a, _| a.floor().exp2());
        expect("scale to the smallest normals", isa.scale(va, isa.splat(-127.0)), &|a, _| a * 0.5 * 2f32.powi(-126));
        expect("scale to the largest", isa.scale(va, isa.splat(120.0)), &|a, _| a * 2f32.powi(120));
        let (m, e) = isa.split(isa.abs(va));
        expect("split", isa.scale(m, e), &|a, _| a.abs());
        expect("split centred on 1", isa.round(isa.sub(m, isa.splat(1.0))), &|_, _| 0.0);
        let square: [I::F; MAX_LANES] = std::array::from_fn(|i| isa.add(va, isa.splat(i as f32)));
        for (i, row) in isa.transpose(square).into_iter().take(v).enumerate() {
            let mut out = vec![0.0; v];
            isa.store(&mut out, row);
            for (j, &x) in out.iter().enumerate() {
                assert_eq!(x, a[i] + j as f32, "transposed row {i}");
            }
        }
        let turned = isa.permute(va, isa.order(std::array::from_fn(|i| (i + v - 1) as u32)));
        expect("permute", turned, &|x, _| if x == a[0] { a[v - 1] } else { x - 1.25 });
        assert!((isa.sum(va) - a.iter().sum::<f32>()).abs() < 1e-4);
        assert_eq!(isa.largest(va), a[v - 1]);
        expect("max keeps a NaN of the second", isa.max(va, isa.splat(1.0)), &|a, _| a.max(1.0));
        let mut nan = vec![0.0; v];
        isa.store(&mut nan, isa.max(isa.zero(), isa.splat(f32::NAN)));
        assert!(nan.iter().all(|x| x.is_nan()));
        for n in 0..=v {
            let mut out = vec![9.0; n];
            isa.store_part(&mut out, isa.load_part(&a[..n]));
            assert_eq!(out, a[..n], "part {n}");
        }
        let mut full = vec![0.0; v];
        isa.store(&mut full, isa.load_part(&a[..v - 1]));
        assert_eq!(full[v - 1], 0.0);
    }
}

#[test]
fn vector_operations_equal_plain_arithmetic_on_every_tier() {
    Scalar::get().unwrap().dispatch(Operations);
    if let Some(isa) = Avx2::get() {
        isa.dispatch(Operations);
    }
    if let Some(isa) = Avx512::get() {
        isa.dispatch(Operations);
    }
}
